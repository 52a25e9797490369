"""How the name of an edition is made up."""

#: Stands between the name of a series and that of its edition.
SEPARATOR = "@"
