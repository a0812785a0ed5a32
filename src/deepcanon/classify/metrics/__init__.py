"""What a classifier's answers are worth: tables, the confusion matrix, why a score is at chance."""
