"""What all recipes share: settings, training, results."""
