"""How accurate the controller's estimator is on measured cells that its model was not made from."""
