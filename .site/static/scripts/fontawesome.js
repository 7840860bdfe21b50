// Instead of a script of the theme, half a megabyte that draws the icons which its style sheet shows already.
