"""Do both sides agree: what is found, what is mended, and that nothing is found where nothing is wrong."""
