package notice

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// clientName is what a side connection adds to the client's name, so that an operator can tell them apart.
const clientName = "streamlease-notices"

// endpointType returns the type to ask for on a connection.
func endpointType(want EndpointType, secure bool, remote net.Addr) EndpointType {
	if want != EndpointAuto {
		return want
	}
	private := false
	if remote != nil {
		if at, err := netip.ParseAddrPort(remote.String()); err == nil {
			ip := at.Addr().Unmap()
			private = ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()
		}
	}
	switch {
	case secure && private:
		return EndpointInternalFQDN
	case secure:
		return EndpointExternalFQDN
	case private:
		return EndpointInternalIP
	}
	return EndpointExternalIP
}

// command encodes one command.
func command(words ...string) []byte {
	var b []byte
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(words)), 10)
	b = append(b, "\r\n"...)
	for _, w := range words {
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(len(w)), 10)
		b = append(b, "\r\n"...)
		b = append(b, w...)
		b = append(b, "\r\n"...)
	}
	return b
}

// hello returns the first command of a connection.
func hello(opt *rueidis.ClientOption, remote net.Addr) ([]byte, error) {
	user, password := opt.Username, opt.Password
	if opt.AuthCredentialsFn != nil {
		c, err := opt.AuthCredentialsFn(rueidis.AuthCredentialsContext{Address: remote})
		if err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		user, password = c.Username, c.Password
	}
	words := []string{"HELLO", "3"}
	if user != "" || password != "" {
		words = append(words, "AUTH", cmp.Or(user, "default"), password)
	}
	name := clientName
	if opt.ClientName != "" {
		name = opt.ClientName + "-" + clientName
	}
	return command(append(words, "SETNAME", name)...), nil
}

func optIn(t EndpointType) []byte {
	return command("CLIENT", "MAINT_NOTIFICATIONS", "ON", "moving-endpoint-type", string(t))
}

var ping = command("PING")

// identity tells a server from one that has taken over its address, as far as HELLO allows: by name and version.
func identity(reply *value) string {
	var server, version string
	for i := 0; i+1 < len(reply.elements); i += 2 {
		switch reply.elements[i].text {
		case "server":
			server = reply.elements[i+1].text
		case "version":
			version = reply.elements[i+1].text
		}
	}
	return server + " " + version
}

// passing holds the first words of errors that do not say whether a server knows a command.
var passing = map[string]bool{
	"LOADING": true, "BUSY": true, "MASTERDOWN": true, "CLUSTERDOWN": true, "TRYAGAIN": true,
	"NOAUTH": true, "WRONGPASS": true, "NOREPLICAS": true, "MISCONF": true,
}

// ServerError is an error reply of a server, with its Text.
type ServerError struct{ Text string }

// Error returns the text.
func (e *ServerError) Error() string { return e.Text }

// definite reports whether the server would answer the same again.
func (e *ServerError) definite() bool {
	word, _, _ := strings.Cut(e.Text, " ")
	return !passing[word]
}
