"""Bodies that notifications carry, read into models and written anew: dialog state, messages waiting, presence."""
