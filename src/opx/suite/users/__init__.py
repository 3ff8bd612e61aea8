"""The people of the office whom the suite serves: who they are, what they may do, and which extensions are theirs.

`records` says what is kept, `repository` keeps it, `csv_file` reads many at once. They are not those who sign in to the
console: those are `opx.web.accounts`.
"""
