"""How far a result can be trusted, told without a reference, and which cases to review first."""
