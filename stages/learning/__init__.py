"""What every training needs: image table, augmentation, optimiser."""
