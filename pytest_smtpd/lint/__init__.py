"""Problems: the catalogue, and the checks that find them in a tree and its envelope."""
