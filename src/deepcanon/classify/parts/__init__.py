"""Blocks that would make a paper's file too long for one sitting, or that two papers share."""
