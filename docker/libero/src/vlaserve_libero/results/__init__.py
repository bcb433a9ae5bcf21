"""What is made of the records of a run: numbers, tables, plots and videos."""
