"""`pasu doctor`: the acceptance of a site. Looks are edges, judgements are pure, words are in the registry."""
