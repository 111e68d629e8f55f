"""Where the events of a run go: one file a tracker."""
