"""`ganvas doctor`: what the machine is, what is installed, and how fast it trains."""
