package pod

import (
	"fmt"
	"slices"
	"strings"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/balance"
)

// Balance is what keeps the streams of a fleet evenly spread. Empty is what engines do by default.
type Balance string

// What is on.
const (
	BalanceOn   Balance = "on"
	BalanceOff  Balance = "off"
	BalanceGate Balance = "gate" // who has its share takes nothing; nobody gives anything back
)

// ParseBalance returns the balance of that name.
func ParseBalance(name string) (Balance, error) {
	all := []Balance{BalanceOn, BalanceOff, BalanceGate}
	if b := Balance(name); name == "" || slices.Contains(all, b) {
		return b, nil
	}
	return "", fmt.Errorf("%q is not one of %s", name, strings.Trim(fmt.Sprint(all), "[]"))
}

// options are those of an engine.
func (b Balance) options() []engine.Option {
	c := balance.Config{}
	switch b {
	case "":
		return nil
	case BalanceOff:
		c.Gate, c.Shed = balance.Off, balance.Off
	case BalanceGate:
		c.Shed = balance.Off
	}
	return []engine.Option{engine.WithBalance(c)}
}
