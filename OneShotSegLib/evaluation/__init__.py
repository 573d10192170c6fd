"""How good label maps are against references: Dice, surface distances, volumes; as a table, a CSV and a box plot."""

from OneShotSegLib.evaluation.evaluate import evaluate
from OneShotSegLib.evaluation.figures import StructureFigures, StructureMeans
from OneShotSegLib.evaluation.result import Evaluation

__all__ = ["Evaluation", "StructureFigures", "StructureMeans", "evaluate"]
