"""The notebook front: magics, runner thread, status lines. Only this floor knows IPython."""
