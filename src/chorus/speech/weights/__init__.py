"""The files of models that Chorus does not bring along: which there are, where they are kept,
and how they get there."""
