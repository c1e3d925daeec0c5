"""What has been measured of a model: importances, and what each type of each tensor costs."""
