"""The notebook's magics: draw a run and bind its results. They decide nothing."""
