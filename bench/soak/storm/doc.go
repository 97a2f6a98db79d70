// Package storm has troubles strike processes (Place), their connections and the servers of a private cluster (Storm), at random, and notes when
// which struck whom (Struck), for those who judge what the processes did meanwhile.
//
// A soak on such a cluster is the same whatever its processes do (Soak): the work is prepared, troubles strike while it goes on, and in the end it
// is judged. What is special about it is its Work.
package storm
