"""Another version of Pasu in the place of this one, and the way back."""
