package embedded

type outer struct{ middle }
