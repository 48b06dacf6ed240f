"""What speed.py and growth.py measure with: a module a part, and the clock, the table and the machine they share."""
