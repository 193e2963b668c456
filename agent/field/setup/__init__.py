"""Making a box ready (`pasu init`): the questions, what disks are refused, what is written and in which order."""
