"""Results of the published networks; `recipe.load` makes inputs and weights again from names."""
