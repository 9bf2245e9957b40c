"""What the user takes home: the best configs, tables, comparisons, exports, and one page that tells the whole sweep."""
