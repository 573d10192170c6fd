"""What segments a query on the hardware at hand, with or without a GPU's memory."""
