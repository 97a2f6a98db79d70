package chain

const c = 3
