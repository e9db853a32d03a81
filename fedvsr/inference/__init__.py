"""What a person makes with a trained model."""
