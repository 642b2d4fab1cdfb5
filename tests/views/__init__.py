"""Views: exact at every moment, whatever comes, whatever is made anew, and wherever it is broken off."""
