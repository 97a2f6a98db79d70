package lease

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// encoding/json takes a member whose name differs in case for the same, which no other language does: two readers would
// have owned one stream under two names.
func TestMembersMatchExactly(t *testing.T) {
	for text, want := range map[string]string{
		`{"DataStreamName":"a"}`:                                           "a",
		`{"DataStreamName":"a","datastreamname":"b"}`:                      "a",
		`{"datastreamname":"b","DataStreamName":"a"}`:                      "a",
		`{"DATASTREAMNAME":"b","DataStreamName":"a","DataStreamname":"c"}`: "a",
		`{"DataStreamName":"b","DataStreamName":"a"}`:                      "a",
		`{"DataStreamName":null,"DataStreamName":"a"}`:                     "a",
		`{"Data\u0053treamName":"a"}`:                                      "a",
		`{"DataStreamName":"b","\u0044ataStreamName":"a"}`:                 "a",
		`{"DataStreamName ":"b","DataStreamName":"a"}`:                     "a",
		`{"Data` + "\u017f" + `treamName":"b","DataStreamName":"a"}`:       "a", // folds to s
		`{"Info":{"DataStreamName":"b"},"DataStreamName":"a"}`:             "a",
		`{"Info":"}{\"DataStreamName\":\"b\"","DataStreamName":"a"}`:       "a",
		`{"Info":"\\","DataStreamName":"a"}`:                               "a",
		"\n{\t\"Info\" : [ 1 , {} ] ,\r\"DataStreamName\" : \"a\" }\n":     "a",
		`{"DataStreamName":"\ud83d\ude00\\ud800"}`:                         `😀\ud800`,
		`{"DataStreamName":"` + "\ufffd" + `"}`:                            "\ufffd",
	} {
		e, err := ParseEntry(layoutOf(t, 4), 0, "1-1", body(FieldAnnouncement, text))
		require.NoError(t, err, text)
		require.Equal(t, want, e.Stream, text)
	}
	for _, text := range []string{
		`{"datastreamname":"a"}`, `{"DataStreamname":"a"}`, `{"DataStreamName\u0000":"a"}`, `{"DataStreamName":"a","DataStreamName":null}`,
		`{"DataStreamName":"a","DataStreamName":""}`, `{"DataStreamName":"a","DataStreamName":1}`,
	} {
		_, err := ParseEntry(layoutOf(t, 4), 0, "1-1", body(FieldAnnouncement, text))
		require.Error(t, err, text)
	}
	e, err := ParseEntry(layoutOf(t, 1), 0, "1-1", body(FieldAnnouncement, `{"info":1,"Info":2,"INFO":3,"DataStreamName":"a","Info":{"k":[4]}}`))
	require.NoError(t, err)
	require.Equal(t, `{"k":[4]}`, string(e.Info))
}

// "s\ud800x" and "s\udfffx" became one stream, since Go reads both as U+FFFD.
func TestNamesWithHalfASurrogatePairAreRefused(t *testing.T) {
	for _, s := range []string{
		`s\ud800x`, `s\udfffx`, `\uDBFF`, `\udc00\ud800`, `\ud800\ud800\udc00`, `\ud800\u0041`, `\ud800\\udc00`, `\ud800\n`, `\ud83d\ude00\ude00`,
	} {
		for _, text := range []string{`{"DataStreamName":"` + s + `"}`, `{"` + s + `":1,"DataStreamName":"a"}`} {
			_, err := ParseEntry(layoutOf(t, 4), 0, "1-1", body(FieldAnnouncement, text))
			require.ErrorContains(t, err, "surrogate", text)
		}
	}
	e, err := ParseEntry(layoutOf(t, 4), 0, "1-1", body(FieldAnnouncement, `{"DataStreamName":"a","Info":"\ud800"}`))
	require.NoError(t, err, "what is in it is between the producer and the handler")
	require.Equal(t, `"\ud800"`, string(e.Info))
}

// An application that deletes the data stream when it is done with it would delete the service.
func TestKeysOfTheServiceAreNoStreams(t *testing.T) {
	for _, name := range []string{"shop-input", "shop-input-3", "{shop-input}:meta", "{shop-input}:lease:x"} {
		text, err := EncodeAnnouncement(name, nil)
		require.NoError(t, err)
		_, err = ParseEntry(layoutOf(t, 4), 0, "1-1", body(FieldAnnouncement, text))
		require.ErrorIs(t, err, api.ErrInvalidStream, name)
	}
}

func TestTheNameIsFoundInTheBeginning(t *testing.T) {
	whole := `{"A":[1,{"DataStreamName":"x"}],"Data\u0053treamName":"a\"b","Info":"` + strings.Repeat("x", 99) + `"}`
	end := strings.Index(whole, `,"Info"`)
	for n := range whole {
		name, err := decodeName(whole[:n])
		if n < end {
			require.Error(t, err, whole[:n])
			continue
		}
		require.NoError(t, err, whole[:n])
		require.Equal(t, `a"b`, name)
	}
	for _, text := range []string{
		`{"DataStreamName":"` + "a\xff" + `","I`, `{"DataStreamName":7,"I`, `{"DataStreamName":"\ud800","I`, `["DataStreamName":"a","I`, ``,
		"{\"DataStreamName\":\"a\nb\",", `{"DataStreamName":"\x",`, `{:`, `{"DataStreamName"}`, `}`, `{]`,
	} {
		_, err := decodeName(text)
		require.Error(t, err, text)
	}
}
