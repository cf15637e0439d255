"""What is done to the project from the command line."""
