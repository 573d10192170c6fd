"""How good label maps are against references: Dice, surface distances, volumes; as a table, a CSV and a box plot."""

from OneShotSegLib.evaluation.evaluate import evaluate
from OneShotSegLib.evaluation.metrics import StructureFigures
from OneShotSegLib.evaluation.result import Evaluation, StructureMeans

__all__ = ["Evaluation", "StructureFigures", "StructureMeans", "evaluate"]
