package console

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/streamlease/streamlease/scan"
)

// ActionKind says what a viewer wants to change.
type ActionKind string

const (
	ActionSendBack     ActionKind = "send-back"     // dead letters of Action.Selection
	ActionDrop         ActionKind = "drop"          // the same, for good
	ActionBringForward ActionKind = "bring-forward" // delayed announcements of Action.Selection
	ActionCancel       ActionKind = "cancel"        // the same, for good
	ActionReannounce   ActionKind = "reannounce"    // stranded announcements of Action.Selection
	ActionAsk          ActionKind = "ask"           // Action.Wish: pause, drain, weight or freeze
	ActionWithdraw     ActionKind = "withdraw"      // the wish of the kind and the consumer of Action.Wish
)

// Action is what a viewer wants to change, for the hook of WithActions to allow or refuse.
type Action struct {
	Kind      ActionKind
	Selection scan.Selection // what is concerned; the zero value is everything
	Wish      scan.Wish      // with ActionAsk and ActionWithdraw; its Reason is what the viewer wrote
}

// Single reports whether the selection names one item.
func (a Action) Single() bool { return a.Selection.ID != "" && len(a.Selection.Partitions) == 1 }

// final reports whether what the action does cannot be undone.
func (a Action) final() bool { return a.Kind == ActionDrop || a.Kind == ActionCancel }

// asksTwice reports whether the action is done only after a second question: what is lost for good, what concerns many, and what moves all
// streams of a process.
func (a Action) asksTwice() bool {
	switch a.Kind {
	case ActionWithdraw:
		return false
	case ActionAsk:
		return a.Wish.Kind == scan.WishDrain
	}
	return a.final() || !a.Single()
}

// actionOf reads an action from a form.
func actionOf(form url.Values) (a Action, err error) {
	a.Kind = ActionKind(valueOf(form, "do"))
	switch a.Kind {
	case ActionSendBack, ActionDrop, ActionBringForward, ActionCancel, ActionReannounce:
		_, a.Selection, err = filterOf(form)
		a.Selection.ID = valueOf(form, "id")
		if err == nil && a.Selection.ID != "" && !a.Single() {
			err = badRequest("An ID is of one partition: name it, too.")
		}
	case ActionAsk, ActionWithdraw:
		a.Wish, err = wishOf(form, a.Kind == ActionAsk)
	default:
		err = badRequest("There is no such action.")
	}
	return a, err
}

func wishOf(form url.Values, whole bool) (w scan.Wish, err error) {
	w.Kind = scan.WishKind(valueOf(form, "kind"))
	w.Consumer = valueOf(form, "consumer")
	if w.Kind == scan.WishFreeze {
		w.Consumer = ""
	}
	if !whole {
		return w, nil
	}
	if w.For, err = time.ParseDuration(valueOf(form, "for")); err != nil {
		return w, badRequest("How long the wish lasts is a duration, such as 30m or 4h.")
	}
	if w.Kind == scan.WishWeight {
		if w.Weight, err = strconv.ParseFloat(strings.TrimSpace(valueOf(form, "weight")), 64); err != nil {
			return w, badRequest("A weight is a number, such as 0.5 or 2.")
		}
	}
	w.Reason = valueOf(form, "reason")
	return w, nil
}

// signed is the reason of a wish, with who asks for it: one line of limited length.
func signed(who, reason string) string {
	text := visible(strings.Join(strings.Fields(who), " "))
	if reason = visible(strings.Join(strings.Fields(reason), " ")); reason != "" {
		text += ": " + reason
	}
	for len(text) > scan.MaxReason {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// target names what is concerned, in words.
func (a Action) target() string {
	switch a.Kind {
	case ActionAsk:
		return strings.TrimSpace(wishText(a.Wish) + " for " + span(a.Wish.For))
	case ActionWithdraw:
		return wishText(a.Wish)
	}
	var parts []string
	if a.Selection.ID != "" {
		parts = append(parts, "ID "+short(a.Selection.ID))
	}
	if a.Selection.Stream != "" {
		parts = append(parts, "stream "+cutMiddle(a.Selection.Stream, 200))
	}
	if a.Selection.Reason != "" {
		parts = append(parts, "reason beginning with "+short(a.Selection.Reason))
	}
	for _, p := range a.Selection.Partitions {
		parts = append(parts, "partition "+strconv.Itoa(p))
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

// wishText names a wish in words.
func wishText(w scan.Wish) string {
	switch w.Kind {
	case scan.WishFreeze:
		return "freeze"
	case scan.WishWeight:
		if w.Weight != 0 {
			return fmt.Sprintf("weight %s of %s", number(w.Weight), short(w.Consumer))
		}
		return "weight of " + short(w.Consumer)
	}
	return short(string(w.Kind)) + " " + short(w.Consumer)
}
