"""What tuning gives and costs, measured."""
