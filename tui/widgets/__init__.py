"""What the screens are made of: each widget gets plain values and draws lines of cells; none fetches, none decides."""
