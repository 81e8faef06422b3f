return "shout"
