"""Report: one self-contained HTML page for the owner, its pictures and plots."""
