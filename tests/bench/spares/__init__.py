"""What spares cost: finding a free unit, and how writes to several of them add up."""
