"""Pictures as SVG whose colours are classes: figures, ladders, payoffs, runs and trades."""
