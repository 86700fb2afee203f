"""The page and the pictures made from the result of an offline evaluation."""
