package policy

import "strings"

// supplied reports whether drover knows the values of a condition key (in lower case), or
// knows that it has none here: there are no organisations, no VPCs and no services that
// call in a user's name.
func supplied(key string) bool {
	switch key {
	case "aws:username", "aws:userid", "aws:principalarn", "aws:principalaccount", "aws:principaltype",
		"aws:principalisawsservice", "aws:sourceip", "aws:currenttime", "aws:epochtime", "aws:securetransport",
		"aws:useragent", "aws:referer", "aws:requestedregion", "aws:tokenissuetime", "aws:multifactorauthpresent",
		"aws:tagkeys",
		"aws:multifactorauthage", "aws:viaawsservice", "aws:calledvia", "aws:calledviafirst", "aws:calledvialast",
		"aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip", "aws:sourcearn", "aws:sourceaccount",
		"aws:sourceorgid", "aws:sourceorgpaths", "aws:principalorgid", "aws:principalorgpaths", "aws:federatedprovider",
		"sts:externalid", "sts:rolesessionname", "iam:passedtoservice", "iam:policyarn",
		"s3:prefix", "s3:delimiter", "s3:max-keys", "s3:versionid", "s3:x-amz-acl", "s3:signatureversion":
		return true
	}
	return strings.HasPrefix(key, "aws:requesttag/") || strings.HasPrefix(key, "aws:principaltag/")
}
