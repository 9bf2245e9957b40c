"""`sweep watch`: an application on a terminal that shows sweeps from their ledgers and asks their controllers for things."""
