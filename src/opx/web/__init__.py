"""What the programs' web faces share; for any program, and imports none."""
