-- Every column of every stay, as it was published.
SELECT * FROM claims.inpatient
