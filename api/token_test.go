package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// The same digits wherever a token is written, without a quote around them.
func TestTokenIsANumberEverywhere(t *testing.T) {
	for token, digits := range map[api.Token]string{0: "0", 7: "7", 1_795_000_000_000_000: "1795000000000000", api.MaxToken: "9007199254740991"} {
		require.Equal(t, digits, token.String())
		require.Equal(t, digits+" "+digits+" "+digits, fmt.Sprintf("%v %s %d", token, token, token))
		require.Equal(t, digits, fmt.Sprint(token))

		text, err := json.Marshal(map[string]any{"token": token})
		require.NoError(t, err)
		require.Equal(t, `{"token":`+digits+`}`, string(text))
		var back struct{ Token api.Token }
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, token, back.Token)

		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "token", token)
		require.Contains(t, out.String(), " token="+digits+"\n")
		out.Reset()
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "token", token)
		require.Contains(t, out.String(), `"token":`+digits+`}`)
	}
}
