package notice

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
)

// wire writes a push in the shorthand of these tests: elements by spaces, "_" null, "[" and "]" lists with their length
// before them, ":1" a number, everything else a string; bulk says which kind.
func wire(text string, bulk bool) string {
	words := strings.Fields(text)
	var out strings.Builder
	for i, w := range words {
		switch {
		case i == 0 || w[0] == '*':
			out.WriteString(w + "\r\n")
		case w == "_":
			out.WriteString("_\r\n")
		case w[0] == ':':
			out.WriteString(w + "\r\n")
		case bulk:
			w = strings.TrimPrefix(w, "+")
			fmt.Fprintf(&out, "$%d\r\n%s\r\n", len(w), w)
		default:
			out.WriteString("+" + strings.TrimPrefix(w, "+") + "\r\n")
		}
	}
	return out.String()
}

func slotsOf(text string) cluster.SlotSet { return parseSlots(text) }

// documented maps the notices, as their documentation shows them, to what they mean.
var documented = map[string]Notice{
	">4 MOVING :7 :15 10.0.0.9:6379":                              {Kind: Moving, Seq: 7, In: 15 * time.Second, Endpoint: "10.0.0.9:6379"},
	">4 MOVING :7 :15 _":                                          {Kind: Moving, Seq: 7, In: 15 * time.Second},
	">3 MOVING :7 :15":                                            {Kind: Moving, Seq: 7, In: 15 * time.Second},
	">4 MIGRATING :8 :2 1,2":                                      {Kind: Migrating, Seq: 8, In: 2 * time.Second, Shards: []string{"1", "2"}},
	">3 MIGRATED :9 1":                                            {Kind: Migrated, Seq: 9, Shards: []string{"1"}},
	">4 FAILING_OVER :10 :2 1":                                    {Kind: FailingOver, Seq: 10, In: 2 * time.Second, Shards: []string{"1"}},
	">3 FAILED_OVER :11 1":                                        {Kind: FailedOver, Seq: 11, Shards: []string{"1"}},
	">3 SMIGRATING :16 123,456,5000-7000":                         {Kind: SlotsMoving, Seq: 16, Slots: slotsOf("123,456,5000-7000")},
	">3 SMIGRATED :17 *1 *3 a:6379 b:6379 123,5000-7000":          {Kind: SlotsMoved, Seq: 17, Slots: slotsOf("123,5000-7000")},
	">3 SMIGRATED :18 *2 *3 a:6379 b:6379 1 *3 a:6379 c:6379 2-3": {Kind: SlotsMoved, Seq: 18, Slots: slotsOf("1-3")},
}

func TestParsesWhatIsDocumented(t *testing.T) {
	for text, want := range documented {
		for _, bulk := range []bool{false, true} {
			all := readAll(t, wire(text, bulk))
			require.Len(t, all, 1, text)
			got, ok := parse(&all[0])
			require.True(t, ok, text)
			require.Equal(t, want, got, "%s, bulk strings: %v", text, bulk)
		}
	}
}

// What servers of several versions were seen to send, or might send: it is read as far as possible.
func TestParsesLeniently(t *testing.T) {
	for text, want := range map[string]Notice{
		">1 MOVING":                                   {Kind: Moving, Seq: -1},
		">2 MOVING 10.0.0.9:6379":                     {Kind: Moving, Seq: -1, Endpoint: "10.0.0.9:6379"},
		">3 moving :7 10.0.0.9:6379":                  {Kind: Moving, Seq: 7, Endpoint: "10.0.0.9:6379"},
		">4 MOVING :7 :-3 ?:6379":                     {Kind: Moving, Seq: 7, In: -3 * time.Second},
		">4 MOVING :7 :0 ?":                           {Kind: Moving, Seq: 7},
		">4 MOVING :7 :0 null":                        {Kind: Moving, Seq: 7},
		">4 MOVING _ _ [::1]:6379":                    {Kind: Moving, Seq: -1, Endpoint: "[::1]:6379"},
		">4 MOVING 7 15 db.example.com:12000":         {Kind: Moving, Seq: 7, In: 15 * time.Second, Endpoint: "db.example.com:12000"},
		">6 MOVING :7 :15 10.0.0.9:6379 more :1":      {Kind: Moving, Seq: 7, In: 15 * time.Second, Endpoint: "10.0.0.9:6379"},
		">4 MIGRATING :8 :2 _":                        {Kind: Migrating, Seq: 8, In: 2 * time.Second},
		">3 MIGRATING :8 :2":                          {Kind: Migrating, Seq: 8, In: 2 * time.Second},
		">4 MIGRATING :8 :2 *2 1 :2":                  {Kind: Migrating, Seq: 8, In: 2 * time.Second, Shards: []string{"1", "2"}},
		">4 MIGRATING :8 :2 :3":                       {Kind: Migrating, Seq: 8, In: 2 * time.Second, Shards: []string{"3"}},
		">2 MIGRATED 1":                               {Kind: Migrated, Seq: -1, Shards: []string{"1"}},
		">2 MIGRATED :9":                              {Kind: Migrated, Seq: 9},
		">3 MIGRATED 9 1":                             {Kind: Migrated, Seq: 9, Shards: []string{"1"}},
		">4 FAILED_OVER :11 1 extra":                  {Kind: FailedOver, Seq: 11, Shards: []string{"1", "extra"}},
		">4 FAILING_OVER :-5 :99999999999999999999 1": {Kind: FailingOver, Seq: -1, Shards: []string{"1"}},
		">2 SMIGRATING 5,6":                           {Kind: SlotsMoving, Seq: -1, Slots: slotsOf("5,6")},
		">3 SMIGRATING :16 ?":                         {Kind: SlotsMoving, Seq: 16},
		">3 SMIGRATING :16 16383-99999,x,7-5,-3":      {Kind: SlotsMoving, Seq: 16, Slots: slotsOf("16383")},
		">5 SMIGRATED :17 a:1 ? 4":                    {Kind: SlotsMoved, Seq: 17, Slots: slotsOf("4")},
		">3 SMIGRATED :17 *3 a:1 b:2 4":               {Kind: SlotsMoved, Seq: 17, Slots: slotsOf("4")},
		">3 SMIGRATED :17 4-5":                        {Kind: SlotsMoved, Seq: 17, Slots: slotsOf("4-5")},
		">2 SMIGRATED :17":                            {Kind: SlotsMoved, Seq: 17},
	} {
		words := strings.Fields(text)
		if strings.HasPrefix(text, ">5 SMIGRATED") {
			words[0] = ">5"
		}
		all := readAll(t, wire(strings.Join(words, " "), false))
		require.Len(t, all, 1, text)
		got, ok := parse(&all[0])
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
}

func TestParsesNothingElse(t *testing.T) {
	for _, text := range []string{
		"+MOVING\r\n", "*2\r\n+MOVING\r\n:1\r\n", ">0\r\n", ">3\r\n+message\r\n+MOVING\r\n:1\r\n", ">2\r\n+invalidate\r\n*1\r\n+k\r\n", ">1\r\n:7\r\n",
		">1\r\n+MOVINGS\r\n", ">1\r\n*1\r\n+MOVING\r\n", "-MOVED 1 a:1\r\n",
	} {
		all := readAll(t, text)
		_, ok := parse(&all[0])
		require.False(t, ok, "%q", text)
	}
}

func TestKindsHaveTheirNames(t *testing.T) {
	require.Equal(t, "SMIGRATED", SlotsMoved.String())
	require.Equal(t, "invalid", Kind(0).String())
	require.Equal(t, "invalid", Kind(99).String())
	require.Equal(t, "refused", Refused.String())
	require.Equal(t, "invalid", State(9).String())
}
